"""What PyTorch has for the kernels of the standard library, by their names."""

from torch_peers import images, layers, linear, losses, pooling, sequences

PEERS = {
    **linear.PEERS,
    **images.PEERS,
    **pooling.PEERS,
    **layers.PEERS,
    **sequences.PEERS,
    **losses.PEERS,
}
