"""`python -m llmflame`."""

from llmflame.cli.app import main

if __name__ == "__main__":
    main()
