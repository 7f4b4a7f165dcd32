"""A module that the probe gets by pyFiles."""

NAME = "helpers"
