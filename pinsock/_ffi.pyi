# What cffi makes of csrc/pinsock.cdef.h.

class _Lib:
    @staticmethod
    def pinsock_find_spki_packed(der: bytes, size: int, /) -> int: ...
    @staticmethod
    def pinsock_find_digest(table: bytes, rows: int, digest: bytes, /) -> int: ...

lib: _Lib
