"""Run the command line as `python -m nas.cli`, where nothing is installed beside Python."""

from nas.cli import main

if __name__ == "__main__":
    main()
