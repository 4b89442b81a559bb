"""The architectures: configurations of the ``transformers`` library, and CNNs written out as plain torch modules."""
