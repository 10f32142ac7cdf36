"""Every way of running a network, timed: the tables of runtimes and of widths chosen by time, and the command."""
