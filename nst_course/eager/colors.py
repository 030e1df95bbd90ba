"""Whose colours a picture has: the three ways in which runs keep the photograph's or begin with the style's."""

import numpy as np


def recolored(a, colors):
    r"""Give a picture the mean and the covariance of some colours, by a linear map of its pixels.

    .. math:: x' = \Sigma_S^{1/2}\, \Sigma_C^{-1/2} (x - \mu_C) + \mu_S

    Parameters
    ----------
    a : ndarray, shape (1, n_H, n_W, 3)
        A network array.
    colors : ndarray, shape (n, 3)
        Colours, with the same mean subtracted.

    Returns
    -------
    ndarray of float32, shape (1, n_H, n_W, 3)

    References
    ----------
    Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer", arXiv:1606.05897, section 3, where
    the style picture is recoloured.
    """
    pixels = a.reshape(-1, 3)
    roots = []
    for values in (pixels, colors):
        # A picture of one colour has no covariance to divide by.
        variances, axes = np.linalg.eigh(np.cov(values, rowvar=False) + 1e-2 * np.eye(3))
        roots.append((axes * np.sqrt(variances)) @ axes.T)
    transform = np.linalg.solve(*roots)  # C^(-1/2) S^(1/2): pixels are rows
    return ((pixels - pixels.mean(axis=0)) @ transform + colors.mean(axis=0)).reshape(a.shape).astype(np.float32)


def match_histograms(image, reference):
    """Give each channel of a picture the histogram of another's.

    Parameters
    ----------
    image, reference : ndarray of uint8, shape (n_H, n_W, 3)
        Pictures, of any sizes.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)
    """
    from skimage import exposure

    return np.rint(exposure.match_histograms(image, reference, channel_axis=-1)).astype(np.uint8)


def with_chroma_of(photograph, image):
    """Return the brightness of a picture in the colours of a photograph: one grey is added to all three channels.

    Parameters
    ----------
    photograph, image : ndarray of uint8, shape (n_H, n_W, 3)
        Pictures of one size.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)

    References
    ----------
    Gatys et al. 2016, arXiv:1606.05897, section 4, luminance-only transfer, with the luma of ITU-R BT.601.
    """
    difference = (image.astype(np.float64) - photograph) @ np.array([0.299, 0.587, 0.114])
    return np.rint(np.clip(photograph + difference[:, :, None], 0, 255)).astype(np.uint8)
