"""What is measured. Each module has ``cases(libraries)``, which gives rows of one table."""
