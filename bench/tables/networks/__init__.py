"""Tables 1 to 4 and Fig 6 of paper 1: whole networks beside each other."""
