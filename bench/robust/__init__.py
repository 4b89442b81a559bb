"""What must hold when things go wrong: damaged files, hostile databases, full disks, kills at random moments."""
