"""What can be wrong with models and their inputs. A bad image never raises: it becomes a failure with a reason."""


class ModelingError(Exception):
    """A model cannot be built, found or used. The message says what was asked, found, and what to do."""


class BackboneError(ModelingError):
    """A backbone cannot be loaded, or is not the one that was recorded."""


class TilingError(ModelingError):
    """A tiling scheme is unknown or does not fit an image."""


class ClassMapMismatchError(ModelingError):
    """Two class maps meet that are not the same."""


class EmbeddingMismatchError(ModelingError):
    """Embeddings are not of the kind that a head was trained on."""


class TrainingError(ModelingError):
    """There is nothing sensible to train on."""


class RegistryError(ModelingError):
    """A model, version or alias is not in the registry."""


class ProbeError(ModelingError):
    """A finished model calls labelled photographs by other names than its training meant."""
