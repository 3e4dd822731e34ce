"""`xdsctl`: asks the admin API, or runs the stages offline. Holds no logic that the server needs too."""
