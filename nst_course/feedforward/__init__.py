"""Fast style transfer: a network for each style, trained once, that paints any picture in one pass."""
