"""The work behind ``eqsat rules``: what helps a person to write, understand, test and measure rules."""
