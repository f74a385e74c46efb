"""Search spaces: choices, their encoding as rows of picks, and their files."""
