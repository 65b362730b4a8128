"""The `graded` command."""
