"""The parts of waiting.py."""
