"""What people and programs say to runs that wait: which wait is meant, and whether it fits."""
