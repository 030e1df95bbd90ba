"""nst_course: neural style transfer, step by step, with numbers that come out right on today's TensorFlow.

The graded functions of the course assignment "Art Generation with Neural Style Transfer" (`compute_content_cost`,
`gram_matrix`, `compute_layer_style_cost`, `compute_style_cost`, `total_cost`, `model_nn`), a loader that turns a
published weights file into a VGG, and what is needed around them. TensorFlow is imported when a name first needs it.
"""

import importlib

__version__ = "0.2.0"

_HOMES = {
    "classroom.checks": (
        "CheckError",
        "check_assignment",
        "check_content_cost",
        "check_gram_matrix",
        "check_layer_style_cost",
        "check_model_nn",
        "check_style_cost",
        "check_total_cost",
        "check_train_step",
    ),
    "classroom.grading": ("Graded", "Mistake", "grade"),
    "keras_vgg": ("keras_vgg19",),
    "costs": (
        "compute_content_cost",
        "compute_gram_cost",
        "compute_layer_style_cost",
        "gram_matrix",
        "normalized_gram_matrix",
        "total_cost",
        "total_variation_cost",
    ),
    "eager.files": ("stylize_to_file",),
    "eager.memory": ("estimate_memory",),
    "eager.optimizers": ("Adam", "LBFGS"),
    "eager.presets": (
        "COURSE",
        "FAST",
        "GATYS",
        "LBFGS_VGG19",
        "TF_TUTORIAL",
        "Objective",
        "Preset",
        "Style",
    ),
    "eager.stylize": ("Painting", "features", "stylize"),
    "expected": ("EXPECTED", "expected_value"),
    "feedforward.arbitrary": ("ArbitraryStyle", "HubStyle", "StyleModelError", "load_arbitrary"),
    "feedforward.checkpoint": ("CheckpointError", "load_network", "save_network"),
    "feedforward.styles": ("style_names",),
    "feedforward.training": ("Training", "train"),
    "feedforward.transform_net": ("TransformNet",),
    "images": (
        "ImageError",
        "denormalize_image",
        "example_image",
        "generate_noise_image",
        "read_image",
        "read_mask",
        "reshape_and_normalize_image",
        "resize_image",
        "save_image",
    ),
    "many": ("StyleFile", "apply_to_files", "dask_executor", "paint_files", "restyle_files", "stylize_files"),
    "memory": ("PictureTooLargeError", "available_memory"),
    "migration.edits": ("Edit", "migrate"),
    "migration.reading": ("NotebookError",),
    "migration.running": ("CellRun", "run_notebook"),
    "notebooks": ("copy_notebooks",),
    "plots": (
        "save_gif",
        "show_contact_sheet",
        "show_costs",
        "show_feature_maps",
        "show_gram",
        "show_pictures",
        "show_source",
        "watch",
    ),
    "session": (
        "DivergenceError",
        "STYLE_LAYERS",
        "Step",
        "compute_style_cost",
        "load_vgg_model",
        "model_nn",
        "paint",
        "print_costs",
    ),
    "startup": ("start_tensorflow",),
    "vgg": ("Activations", "LayerNotFoundError", "forward"),
    "weights.download": ("download_style_models", "download_weights"),
    "weights.find": ("find_weights", "load_weights"),
    "weights.levels": ("write_levels",),
    "weights.matconvnet": ("write_mat",),
    "weights.network": ("VGGWeights", "WeightsError"),
    "weights.reading": ("read_weights",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_HOME})
