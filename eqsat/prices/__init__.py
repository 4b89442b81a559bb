"""What every e-node costs, measured on the device the model will run on."""
