"""What people and programs say to runs that wait: which wait is meant, whether it fits, and who goes on by it."""
