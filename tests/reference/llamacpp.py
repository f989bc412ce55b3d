"""llama.cpp's C API through ctypes, as far as the reference scripts need it.

The library is any shared object that exports the C API: a libllama.so, or the extension module of the
`xllamacpp` wheel (found by itself when no path is given).

Parameter structures are passed by value and differ from release to release.  They are only ever filled by
llama_*_default_params, so a block of bytes at least as large as the real structure serves for all of them:
both are returned and passed in memory under the System V x86-64 ABI.
"""
import ctypes as c


class Params(c.Structure):
    _fields_ = [("words", c.c_uint32 * 256)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p),
                ("pos", c.POINTER(c.c_int32)), ("n_seq_id", c.POINTER(c.c_int32)),
                ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8))]


LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)


@LOG
def quiet(level, text, data):
    if level == 4:  # GGML_LOG_LEVEL_ERROR
        print(text.decode(errors="replace"), end="")


class Library:
    def __init__(self, path=None):
        if path is None:
            import xllamacpp
            path = xllamacpp.xllamacpp.__file__
        lib = self.lib = c.CDLL(path)
        for name, result, arguments in [
            ("llama_backend_init", None, []),
            ("llama_log_set", None, [LOG, c.c_void_p]),
            ("llama_print_system_info", c.c_char_p, []),
            ("llama_model_default_params", Params, []),
            ("llama_context_default_params", Params, []),
            ("llama_model_load_from_file", c.c_void_p, [c.c_char_p, Params]),
            ("llama_model_get_vocab", c.c_void_p, [c.c_void_p]),
            ("llama_vocab_n_tokens", c.c_int32, [c.c_void_p]),
            ("llama_vocab_bos", c.c_int32, [c.c_void_p]),
            ("llama_vocab_eos", c.c_int32, [c.c_void_p]),
            ("llama_vocab_eot", c.c_int32, [c.c_void_p]),
            ("llama_vocab_get_add_bos", c.c_bool, [c.c_void_p]),
            ("llama_vocab_is_eog", c.c_bool, [c.c_void_p, c.c_int32]),
            ("llama_tokenize", c.c_int32, [c.c_void_p, c.c_char_p, c.c_int32, c.POINTER(c.c_int32), c.c_int32,
                                           c.c_bool, c.c_bool]),
            ("llama_init_from_model", c.c_void_p, [c.c_void_p, Params]),
            ("llama_free", None, [c.c_void_p]),
            ("llama_set_n_threads", None, [c.c_void_p, c.c_int32, c.c_int32]),
            ("llama_batch_init", Batch, [c.c_int32, c.c_int32, c.c_int32]),
            ("llama_batch_free", None, [Batch]),
            ("llama_decode", c.c_int32, [c.c_void_p, Batch]),
            ("llama_get_logits_ith", c.POINTER(c.c_float), [c.c_void_p, c.c_int32]),
        ]:
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        lib.llama_log_set(quiet, None)
        lib.llama_backend_init()

    def system(self):
        return self.lib.llama_print_system_info().decode()


class Model:
    def __init__(self, library, path, vocab_only=False):
        self.lib = library.lib
        params = self.lib.llama_model_default_params()
        if vocab_only:  # the first of the booleans, which follow nine pointers' room
            c.cast(c.byref(params), c.POINTER(c.c_uint8))[72] = 1
        self.model = self.lib.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {path}")
        self.vocab = self.lib.llama_model_get_vocab(self.model)
        self.n_vocab = self.lib.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text, parse_special=False, add_special=False):
        """The ids of a text given as bytes."""
        room = 3 * len(text) + 8  # a byte that is not UTF-8 may become U+FFFD, three bytes and as many tokens
        ids = (c.c_int32 * room)()
        n = self.lib.llama_tokenize(self.vocab, text, len(text), ids, room, add_special, parse_special)
        assert 0 <= n <= room, n
        return list(ids[:n])

    def logits(self, ids, threads=2, batch=None):
        """Logits at every position of one sequence, a list of numpy rows.  `batch` limits the tokens a call decodes."""
        import numpy as np
        lib = self.lib
        params = lib.llama_context_default_params()
        room = max(512, (len(ids) + 255) // 256 * 256)
        params.words[0] = params.words[1] = params.words[2] = room  # n_ctx, n_batch, n_ubatch lead the structure in every release so far
        context = lib.llama_init_from_model(self.model, params)
        assert context
        lib.llama_set_n_threads(context, threads, threads)
        rows = []
        for start in range(0, len(ids), batch or len(ids)):
            part = ids[start:start + (batch or len(ids))]
            b = lib.llama_batch_init(len(part), 0, 1)
            b.n_tokens = len(part)
            for i, token in enumerate(part):
                b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0], b.logits[i] = token, start + i, 1, 0, 1
            assert lib.llama_decode(context, b) == 0
            rows += [np.ctypeslib.as_array(lib.llama_get_logits_ith(context, i), (self.n_vocab,)).copy()
                     for i in range(len(part))]
            lib.llama_batch_free(b)
        lib.llama_free(context)
        return rows
