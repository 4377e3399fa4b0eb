"""The input of the network: the training set as arrays, batches, crops, the front end."""
