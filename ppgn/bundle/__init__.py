"""A checkpoint as typed parts: networks, the spaces of codes and images, classes and recipes; found, loaded, saved, migrated."""

from ppgn.bundle.bundle import Bundle as Bundle
from ppgn.bundle.find import find as find
from ppgn.bundle.find import list_bundles as list_bundles
from ppgn.bundle.find import search_paths as search_paths
from ppgn.bundle.load import load_bundle as load_bundle
from ppgn.bundle.migrate import groups_of as groups_of
from ppgn.bundle.migrate import migrate_bundle as migrate_bundle
from ppgn.bundle.migrate import read_info as read_info
from ppgn.bundle.migrate import to_version_2 as to_version_2
from ppgn.bundle.references import fetch_bundle as fetch_bundle
from ppgn.bundle.references import reference_to as reference_to
from ppgn.bundle.references import sha256 as sha256
from ppgn.bundle.save import check_place as check_place
from ppgn.bundle.save import save_bundle as save_bundle
