"""The world model, part by part; :mod:`rl.world_model` is its face.

========================= ==================================================================
module                    what is in it
========================= ==================================================================
identity                  which candidate after a step is which one before it
replay                    trajectories of the real environment
latent                    a state as the model knows it
formulas, hurdle, metrics the mathematics, each formula a function
stochastic                the two ways in which the future may be open
dynamics                  one step, by one member of the ensemble
model                     encoder, ensemble and the scales of the latents
checkpoint                a world model on disk
unroll, fit               learning from trajectories
imagination, improve      episodes that no environment plays, and a better policy from them
collect, accounts,        where to go in reality, and what it takes
reality, train           the loop around all of it
planning                  the search that looks ahead in latent space
evaluate                  latent rollouts against real ones
========================= ==================================================================
"""
