"""Every way of running a network, timed: the tables of runtimes, of widths chosen by time, and of full width."""
