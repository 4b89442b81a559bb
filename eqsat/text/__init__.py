"""What people type and read: durations, sizes, shapes, suggestions, versions, text without control sequences."""
