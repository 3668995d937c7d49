"""The command line: commands, and the options that they share."""
