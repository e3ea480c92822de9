"""Networks that others released -> a bundle: files of Caffe, ports of DeePSiM, DCGANs, pipelines of diffusers, lists."""

from ppgn.bundle import check_place as check_place
from ppgn.importers.caffe import Files as Files
from ppgn.importers.caffe import Imported as Imported
from ppgn.importers.caffe import check_fit as check_fit
from ppgn.importers.caffe import read_captioner as read_captioner
from ppgn.importers.caffe import read_encoder as read_encoder
from ppgn.importers.caffe import read_generator as read_generator
from ppgn.importers.caffe import write as write
from ppgn.importers.deepsim import read_state as read_state
from ppgn.importers.gan import PUBLISHED as PUBLISHED
from ppgn.importers.gan import published_file as published_file
from ppgn.importers.gan import read_dcgan as read_dcgan
from ppgn.importers.gan import write_gan as write_gan
from ppgn.importers.latent_diffusion import Wanted as Wanted
from ppgn.importers.latent_diffusion import read_pipeline as read_pipeline
from ppgn.importers.latent_diffusion import write_pipeline as write_pipeline
from ppgn.importers.lists import class_names as class_names
from ppgn.importers.lists import code_of as code_of
