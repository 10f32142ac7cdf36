"""Tables 1 and 2 of paper 2: contrastive pretraining and what it is worth."""
