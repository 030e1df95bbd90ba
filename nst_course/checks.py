"""The checks by the name that students' notebooks and hidden tests call them; their home is `nst_course.classroom`."""

from .classroom.checks import (
    CheckError,
    check_assignment,
    check_content_cost,
    check_gram_matrix,
    check_layer_style_cost,
    check_model_nn,
    check_style_cost,
    check_total_cost,
    check_train_step,
)

__all__ = [
    "CheckError",
    "check_assignment",
    "check_content_cost",
    "check_gram_matrix",
    "check_layer_style_cost",
    "check_model_nn",
    "check_style_cost",
    "check_total_cost",
    "check_train_step",
]
