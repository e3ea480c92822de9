"""Lightning systems that make the weights `ppgn` samples with: data, losses, discriminator, encoder, generator, denoiser."""
