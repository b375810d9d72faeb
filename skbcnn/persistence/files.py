"""The files of a saved model: which they are, read whole and never too large, and never replaced unasked."""

TEXT, ARRAYS = "model.json", "weights.h5"
MAX_BYTES = {TEXT: 2**24, ARRAYS: 2**29}  # nothing larger is read


class ModelFolderError(ValueError):
    """A folder that holds no model, or one that is damaged, or of another format."""


def read_file(path):
    """The bytes of a file, if it is one and not too large."""
    limit = MAX_BYTES[path.name]
    try:
        if not path.is_file():
            raise ModelFolderError(
                f"{path.parent} has no file {path.name}, so it holds no whole model. Give a folder that save_folder "
                f"wrote, with both {TEXT} and {ARRAYS}."
            )
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ModelFolderError(
            f"{path} cannot be read ({error.strerror}). Copy or download the folder again."
        ) from error
    if len(data) > limit:
        raise ModelFolderError(f"{path} is larger than {limit} bytes, which no model is. Load another folder.")
    return data


def check_replaceable(path):
    """Refuse to replace a folder that is more than a model."""
    others = {entry.name for entry in path.iterdir()} - {TEXT, ARRAYS} if path.is_dir() else set()
    if others:
        raise FileExistsError(
            f"{path} holds {', '.join(sorted(others)[:3])}, which belong to no saved model and would be deleted with "
            "it. Choose another name, or remove the folder yourself."
        )
