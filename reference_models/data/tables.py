"""Three tables that come with scikit-learn: two with classes, one with a number to predict; nothing is downloaded.

- breast cancer (Street, Wolberg, Mangasarian 1993): 569 tumours, 30 measures of cell nuclei, malignant or benign;
- wine (Forina and others 1991): 178 wines of three growers, 13 chemical measures;
- diabetes (Efron, Hastie, Johnstone, Tibshirani 2004): 442 patients, 10 measures, how far the disease had gone a year
  later, a number from 25 to 346. The measures are read unscaled, in years, mm Hg and so on.

The split depends on the request's seed alone; the columns are standardised by the training rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchglass.errors import MissingExtraError
from torchglass.reference_models.data.request import DataRequest

if TYPE_CHECKING:
    from torchglass.reference_models.data.samples import Split


def load_breast_cancer(request: DataRequest) -> Split:
    """Load the tumours: class 0 is malignant, class 1 benign (357 of 569)."""
    table = _bundled("load_breast_cancer")
    return _classes(table, [str(name) for name in table.target_names], request.seed)


def load_wine(request: DataRequest) -> Split:
    """Load the wines; the three growers are called grower 1 to 3."""
    return _classes(_bundled("load_wine"), ["grower 1", "grower 2", "grower 3"], request.seed)


def load_diabetes(request: DataRequest) -> Split:
    """Load the patients; the target is a number."""
    from torchglass.reference_models.data.tables_split import regress_table

    table = _bundled("load_diabetes", scaled=False)
    return regress_table(table.data, table.target, [str(name) for name in table.feature_names], request.seed)


def _classes(table: Any, class_names: list[str], seed: int) -> Split:
    from torchglass.reference_models.data.tables_split import classify_table

    return classify_table(table.data, table.target, [str(name) for name in table.feature_names], class_names, seed)


def _bundled(loader: str, **options: bool) -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "models") from error
    return getattr(datasets, loader)(**options)
