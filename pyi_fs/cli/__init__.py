"""The commands: arguments to calls to text and exit codes."""
