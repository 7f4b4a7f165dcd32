"""What a driver says and leaves: its pod, its log, the reason why it failed."""
