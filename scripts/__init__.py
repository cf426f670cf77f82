"""Set-up of the working environment and of the lock files. Standard library only: nothing is installed yet."""
