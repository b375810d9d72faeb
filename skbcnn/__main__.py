"""``python -m skbcnn``: the command line."""

from skbcnn.cli import main

if __name__ == "__main__":
    main()
