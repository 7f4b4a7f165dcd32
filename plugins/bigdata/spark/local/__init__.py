"""The runtime ``local``: the application on this machine."""
