"""Writers of PyTorch's two file layouts from bytes, without PyTorch: what the readers are tested against.

A pickle body is a piece of a pickle that leaves one object on the stack; `pickled` closes it. So a test can put
together any pickle, honest or not.
"""

import pickle
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage",
    "uint8": "ByteStorage", "bool": "BoolStorage",
}  # fmt: skip


def value(obj):
    """The body of a plain Python value."""
    return pickle.dumps(obj, 2)[2:-1]


def name_of(module, name):
    """A global."""
    return f"c{module}\n{name}\n".encode()


def tuple_of(*bodies):
    return b"(" + b"".join(bodies) + b"t"


def dict_of(**bodies):
    return b"}(" + b"".join(value(key) + body for key, body in bodies.items()) + b"u"


def call(function, *arguments):
    """REDUCE."""
    return function + tuple_of(*arguments) + b"R"


def storage(dtype, key, length, *more, module="torch"):
    """A persistent id."""
    kind = name_of(module, STORAGE_TYPES.get(dtype, dtype))
    return tuple_of(value("storage"), kind, value(key), value("cpu"), value(length), *map(value, more)) + b"Q"


def tensor(stored, shape, strides, offset=0, version="_v2", more=()):
    """A call of torch._utils._rebuild_tensor or _rebuild_tensor_v2."""
    hooks = (value(False), call(name_of("collections", "OrderedDict")), *map(value, more)) if version else ()
    return call(
        name_of("torch._utils", f"_rebuild_tensor{version}"),
        stored,
        value(offset),
        value(shape),
        value(strides),
        *hooks,
    )


def pickled(body):
    return b"\x80\x02" + body + b"."


def write_zip(path, body, storages=None, *, byteorder="little", root="archive", compression=zipfile.ZIP_STORED):
    """The layout since 1.6. `storages`: key -> bytes or array."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", pickled(body))
        if byteorder:
            archive.writestr(f"{root}/byteorder", byteorder)
        for key, data in (storages or {}).items():
            archive.writestr(f"{root}/data/{key}", bytes_of(data))
        archive.writestr(f"{root}/version", "3\n")
    return path


def write_legacy(path, body, storages=None, *, magic=MAGIC, protocol=1001, keys=None, lengths=None):
    """The layout before 1.6. `storages`: key -> array."""
    storages = storages or {}
    with open(path, "wb") as file:
        pickle.dump(magic, file, 2)
        pickle.dump(protocol, file, 2)
        pickle.dump({"protocol_version": protocol, "little_endian": True, "type_sizes": {"int": 4}}, file, 2)
        file.write(pickled(body))
        pickle.dump(sorted(storages) if keys is None else keys, file, 2)
        for key in sorted(storages):
            file.write((lengths or {}).get(key, len(storages[key])).to_bytes(8, "little"))
            file.write(bytes_of(storages[key]))
    return path


def bytes_of(data):
    return data if isinstance(data, bytes) else np.asarray(data).tobytes()


WRITERS = {"zip": write_zip, "legacy": lambda path, body, storages=None: write_legacy(path, body, storages)}
