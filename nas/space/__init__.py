"""Search spaces: choices, their encoding as rows of picks, and the files they come from."""
