"""Other packages' interfaces over Violet's core: a program changes one import."""
