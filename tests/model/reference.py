"""LCR-SER's forward pass in float64 NumPy: one request, one candidate, one head, one step at a time."""

import numpy as np


def weights_of(model):
    """All variables of a model by their path below the model, float64."""
    return {v.path.split("/", 1)[1]: np.asarray(v, np.float64) for v in model.variables if "seed" not in v.path}


def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()


class Reference:
    def __init__(self, model):
        self.c = model.config
        self.w = weights_of(model)
        self.r = next(k.split("/")[0] for k in self.w if k.endswith("search_empty"))
        self.h = next(k.split("/")[0] for k in self.w if k.startswith("scoring_head"))

    def dense(self, path, x):
        return x @ self.w[path + "/kernel"] + self.w[path + "/bias"]

    def norm(self, path, x):
        if not self.c.post_norm:
            return x
        (gamma,) = [v for k, v in self.w.items() if k.startswith(path + "/layer_norm") and k.endswith("gamma")]
        (beta,) = [v for k, v in self.w.items() if k.startswith(path + "/layer_norm") and k.endswith("beta")]
        return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gamma + beta

    def attention(self, path, x, context):
        """MultiHead(x, context) + x, normalised if post_norm; context is a list of vectors."""
        d, heads = self.c.dim, self.c.num_heads
        q = self.dense(path + "/query", x)
        kv = [self.dense(path + "/key_value", row) for row in context]
        out = []
        for head in range(heads):
            part = slice(head * d // heads, (head + 1) * d // heads)
            weights = softmax(np.array([q[part] @ row[:d][part] for row in kv]) / np.sqrt(d // heads))
            out.append(sum(weight * row[d:][part] for weight, row in zip(weights, kv, strict=True)))
        return self.norm(path, x + self.dense(path + "/out", np.concatenate(out)))

    def ffn(self, path, x):
        out = self.dense(path + "/out", np.maximum(self.dense(path + "/hidden", x), 0))
        return self.norm(path, x + out) if self.c.post_norm else out

    def encode(self, side, events):
        path = f"{self.r}/{side}_encoder"
        return [self.ffn(path, self.attention(path + "/attention", x, events[: i + 1])) for i, x in enumerate(events)]

    def events(self, request):
        """The position-aware real events of both histories, oldest first, and the numbers of padded columns."""
        items, words = self.w["items/table"], self.w["words/table"]
        rec, search = [], []
        for back, item in enumerate(request["rec_items"][::-1]):
            if item:
                rec.insert(0, items[item] + self.w["rec_positions/positions"][self.c.rec_length - 1 - back])
        for back in range(len(request["search_words"])):
            w = [words[i] for i in request["search_words"][-1 - back] if i]
            v = [items[i] for i in request["search_items"][-1 - back] if i]
            if w or v:
                mean = (np.mean(w, 0) if w else 0) + (np.mean(v, 0) if v else 0)
                search.insert(0, mean + self.w["search_positions/positions"][self.c.search_length - 1 - back])
        return search, rec

    def reason(self, request, noise=(0, 0), cross=True):
        """H_s, H_r, and the states h^(1..K) of each side."""
        search, rec = self.events(request)
        hs, hr = self.encode("search", search), self.encode("rec", rec)
        s = (hs[-1] if hs else self.w[f"{self.r}/search_empty"]) + noise[0]
        r = (hr[-1] if hr else self.w[f"{self.r}/rec_empty"]) + noise[1]
        out_s, out_r, context_s, context_r = [], [], list(search), list(rec)
        for k in range(self.c.reasoning_steps):
            es, er = s + self.w[f"{self.r}/search_steps"][k], r + self.w[f"{self.r}/rec_steps"][k]
            context_s.append(es)
            context_r.append(er)
            fs = self.attention(f"{self.r}/search_encoder/attention", es, context_s)
            fr = self.attention(
                f"{self.r}/rec_encoder/attention", er, context_s if self.c.literal_eq5 else context_r
            )
            if cross:
                fs = self.attention(f"{self.r}/search_cross", fs, context_r)
                fr = self.attention(f"{self.r}/rec_cross", fr, context_s)
            s, r = self.ffn(f"{self.r}/search_encoder", fs), self.ffn(f"{self.r}/rec_encoder", fr)
            out_s.append(s)
            out_r.append(r)
        return hs, hr, out_s, out_r

    def aggregate(self, side, states, candidate):
        if not states:
            return np.zeros(self.c.dim)
        weights = softmax(np.array([h @ self.w[f"{side}_attention/kernel"] @ candidate for h in states]))
        return sum(weight * h for weight, h in zip(weights, states, strict=True))

    def logits(self, request, noise=(0, 0)):
        hs, hr, out_s, out_r = self.reason(request, noise)
        scores = []
        for item in request["candidates"]:
            e = self.w["items/table"][item]
            ws, wr = self.aggregate("search", hs + out_s, e), self.aggregate("rec", hr + out_r, e)
            x = np.concatenate([self.w["users/table"][request["user"]], ws, wr, e])
            x = x @ self.w[f"{self.h}/kernel"] + self.w[f"{self.h}/bias"]
            for kernel in sorted(k for k in self.w if k.startswith(f"{self.h}/dense") and k.endswith("kernel")):
                x = np.maximum(x, 0) @ self.w[kernel] + self.w[kernel.replace("kernel", "bias")]
            scores.append(x[0])
        return np.array(scores)
