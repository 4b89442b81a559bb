"""The command line: arguments, screen, signals, exit codes. The work is elsewhere."""
