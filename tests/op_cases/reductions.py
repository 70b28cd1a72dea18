"""Rows of the operation table: reductions."""

import numpy as np

from minidl import functional as F

from ._case import OpCase, distinct, normal, uniform

_dims = {"all": None, "first": 0, "last": -1, "two": (0, 2)}


def _lse(x, axis, keepdims=False):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


CASES = []
for _kind, _dim in _dims.items():
    for _keep in (False, True):
        _tag = f"{_kind}{'-keepdim' if _keep else ''}"
        for _name, _ref in {"sum": np.sum, "mean": np.mean}.items():
            CASES.append(
                OpCase(
                    f"{_name}-{_tag}",
                    lambda x, f=getattr(F, _name), d=_dim, k=_keep: f(x, d, k),
                    normal((2, 3, 4)),
                    lambda x, f=_ref, d=_dim, k=_keep: f(x, axis=d, keepdims=k),
                    lambda torch, x, n=_name, d=_dim, k=_keep: getattr(torch, n)(x, dim=d, keepdim=k),
                    batch_axis=0 if _kind == "last" else None,
                )
            )
        for _name in ("var", "std"):
            for _correction in (0, 1):
                CASES.append(
                    OpCase(
                        f"{_name}-{_tag}-correction{_correction}",
                        lambda x, f=getattr(F, _name), d=_dim, k=_keep, c=_correction: f(x, d, keepdim=k, correction=c),
                        normal((2, 3, 4)),
                        lambda x, f=getattr(np, _name), d=_dim, k=_keep, c=_correction: f(
                            x, axis=d, keepdims=k, ddof=c
                        ),
                        lambda torch, x, n=_name, d=_dim, k=_keep, c=_correction: getattr(torch, n)(
                            x, dim=d, keepdim=k, correction=c
                        ),
                        batch_axis=0 if _kind == "last" else None,
                    )
                )
        for _name in ("amax", "amin"):
            CASES.append(
                OpCase(
                    f"{_name}-{_tag}",
                    lambda x, f=getattr(F, _name), d=_dim, k=_keep: f(x, d, k),
                    distinct((2, 3, 4)),
                    lambda x, f=getattr(np, _name), d=_dim, k=_keep: f(x, axis=d, keepdims=k),
                    lambda torch, x, n=_name, d=_dim, k=_keep: getattr(torch, n)(
                        x, dim=(0, 1, 2) if d is None else d, keepdim=k
                    ),
                    batch_axis=0 if _kind == "last" else None,
                )
            )
        CASES.append(
            OpCase(
                f"logsumexp-{_tag}",
                lambda x, d=_dim, k=_keep: F.logsumexp(x, d, k),
                normal((2, 3, 4)),
                lambda x, d=_dim, k=_keep: _lse(x, d, k),
                lambda torch, x, d=_dim, k=_keep: torch.logsumexp(x, (0, 1, 2) if d is None else d, k),
                batch_axis=0 if _kind == "last" else None,
            )
        )
for _name in ("max", "min"):
    _np_value, _np_index = getattr(np, _name), getattr(np, f"arg{_name}")
    CASES += [
        OpCase(
            f"{_name}-dim{_dim}{'-keepdim' if _keep else ''}",
            lambda x, f=getattr(F, _name), d=_dim, k=_keep: tuple(f(x, d, k)),
            distinct((3, 4)),
            lambda x, v=_np_value, i=_np_index, d=_dim, k=_keep: (v(x, axis=d, keepdims=k), i(x, axis=d, keepdims=k)),
            lambda torch, x, n=_name, d=_dim, k=_keep: tuple(getattr(torch, n)(x, d, k)),
            batch_axis=0 if _dim else None,
        )
        for _dim in (0, 1)
        for _keep in (False, True)
    ]
    CASES.append(
        OpCase(
            f"{_name}-whole",
            getattr(F, _name),
            distinct((3, 4)),
            _np_value,
            lambda torch, x, n=_name: getattr(torch, n)(x),
        )
    )
    CASES += [
        OpCase(
            f"arg{_name}-dim{_dim}",
            lambda x, f=getattr(F, f"arg{_name}"), d=_dim: f(x, d),
            distinct((3, 4)),
            lambda x, i=_np_index, d=_dim: i(x, axis=d),
            lambda torch, x, n=f"arg{_name}", d=_dim: getattr(torch, n)(x, d),
            diff=(),
        )
        for _dim in (None, 0, 1)
    ]
for _p in (0, 0.5, 1, 2, 3, float("inf"), float("-inf"), "fro"):
    CASES.append(
        OpCase(
            f"norm-{_p}",
            lambda x, p=_p: F.norm(x, p, 1),
            lambda rng: [distinct((3, 4))(rng)[0] + 0.02],
            lambda x, p=_p: {
                0: lambda a: (a != 0).sum(1) * 1.0,
                float("inf"): lambda a: a.max(1),
                float("-inf"): lambda a: a.min(1),
            }.get(p, lambda a: (a ** (2 if p == "fro" else p)).sum(1) ** (1 / (2 if p == "fro" else p)))(np.abs(x)),
            lambda torch, x, p=_p: torch.norm(x, 2 if p == "fro" else p, dim=1),
            diff=() if _p == 0 else None,
        )
    )


def _with_zeros(rng):
    x = rng.uniform(0.5, 2, (3, 4))
    x[0, 1] = x[1, 2] = x[1, 3] = 0.0
    return [x]


CASES += [
    OpCase("norm-keepdim", lambda x: F.norm(x, dim=(0, 1), keepdim=True), normal((3, 4)),
           lambda x: np.sqrt((x * x).sum(keepdims=True)), lambda torch, x: torch.norm(x, dim=(0, 1), keepdim=True)),
    OpCase("prod-all", F.prod, uniform(0.5, 2, (3, 4)), np.prod, lambda torch, x: torch.prod(x)),
    OpCase("prod-dim", lambda x: F.prod(x, 0, True), uniform(0.5, 2, (3, 4)), lambda x: x.prod(0, keepdims=True),
           lambda torch, x: torch.prod(x, 0, True)),
    OpCase("prod-zeros", lambda x: F.prod(x, 1), _with_zeros, lambda x: x.prod(1), lambda torch, x: torch.prod(x, 1),
           batch_axis=0),
    OpCase("cumsum-0", lambda x: F.cumsum(x, 0), normal((3, 4)), lambda x: x.cumsum(0),
          lambda torch, x: torch.cumsum(x, 0)),
    OpCase("cumsum-1", lambda x: F.cumsum(x, -1), normal((3, 4)), lambda x: x.cumsum(1),
          lambda torch, x: torch.cumsum(x, 1),
           batch_axis=0),
    *[
        OpCase(f"cumprod-{d}", lambda x, d=d: F.cumprod(x, d), normal((2, 3, 4)), lambda x, d=d: x.cumprod(d),
               lambda torch, x, d=d: torch.cumprod(x, d), batch_axis=0 if d else None)
        for d in (0, 1, -1)
    ],
    OpCase("cumprod-zeros", lambda x: x.cumprod(1), _with_zeros, lambda x: x.cumprod(1),
           lambda torch, x: x.cumprod(1)),
    *[
        OpCase(f"{f.__name__}-0d", f, normal(()), lambda x: x, lambda torch, x, n=f.__name__: getattr(torch, n)(x))
        for f in (F.sum, F.mean, F.prod, F.max, F.min, F.amax, F.amin)
    ],
    *[
        OpCase(f"{f.__name__}-0d-dim", lambda x, f=f: f(x, -1), normal(()), lambda x: x,
               lambda torch, x, n=f.__name__: getattr(torch, n)(x, -1))
        for f in (F.cumsum, F.cumprod, F.logsumexp, F.amax)
    ],
    OpCase("any", lambda x: F.any(x > 1, 1), normal((3, 4)), lambda x: (x > 1).any(1), lambda torch, x: (x > 1).any(1),
           diff=()),
    OpCase("all", lambda x: F.all(x > -1, 0, True), normal((3, 4)), lambda x: (x > -1).all(0, keepdims=True),
           lambda torch, x: (x > -1).all(0, True), diff=()),
]  # fmt: skip
