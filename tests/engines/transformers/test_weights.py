"""What runs are the weights of the checkpoint: what is missing, left over or packed otherwise is refused by name."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen3MoeConfig

from moexray.engines.transformers.engine import TransformersEngine
from moexray.engines.transformers.loading import load_model
from moexray.engines.transformers.profile import profile_of
from moexray.errors import ModelError

from ...tiny_models import SHAPE, deepseek_v3, mixtral
from .checkpoints import Tensors, added, change, configure, renamed, save, split, without
from .zoo import tiny_model

ONE = torch.ones(4)
GATE = "model.layers.1.mlp.gate.weight"


def load(folder: Path, **options: Any) -> Any:
    return load_model(str(folder), device="cpu", **options).model


def refusal(folder: Path, **options: Any) -> str:
    """Return the sentence with which a checkpoint is refused."""
    with pytest.raises(ModelError) as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def cut(part: str, rows: int) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor[:rows] if part in name else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("family", "edit", "words"),
    [
        *(
            ("mixtral", renamed("", prefix), ["lm_head.weight and 20 other tensors", repr(prefix)])
            for prefix in ("_orig_mod.", "module.", "base_model.model.")
        ),
        ("mixtral", without("layers.1.block_sparse_moe.gate"), [GATE]),
        ("olmoe", without("layers.2.mlp.gate"), ["model.layers.2.mlp.gate.weight"]),
        ("gpt_oss", without("layers.1.self_attn.sinks"), ["model.layers.1.self_attn.sinks"]),
        ("mixtral", without("lm_head"), ["lm_head.weight"]),
        ("mixtral", without("embed_tokens"), ["model.embed_tokens.weight"]),
        ("deepseek_v3", without("e_score_correction_bias"), ["1.mlp.gate.e_score_correction_bias and 1 other tensor,"]),
        ("deepseek_v3", without("layers.2.mlp.shared_experts"), ["layers.2.mlp.shared_experts.down_proj.weight"]),
        ("mixtral", without("layers.1.block_sparse_moe.experts."), ["model.layers.1.mlp.experts.down_proj"]),
        ("mixtral", without("layers.1."), ["model.layers.1.input_layernorm.weight"]),
    ],
)
def test_a_tensor_that_is_missing_is_named(
    tmp_path: Path, family: str, edit: Callable[[Tensors], Tensors], words: list[str]
) -> None:
    found = refusal(change(save(tmp_path, family), edit))
    assert all(word in found for word in words)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (cut("layers.1.block_sparse_moe.gate", 6), [GATE, "(6, 32)", "(8, 32)"]),
        (without("layers.1.block_sparse_moe.experts.7."), ["1.mlp.experts.down_proj", "(7, 32, 16)", "(8, 32, 16)"]),
        (cut("embed_tokens", 40), ["model.embed_tokens.weight", "(40, 32)", "(52, 32)"]),
        (without("layers.1.block_sparse_moe.experts.7.w1"), ["model.layers.1.mlp.experts.gate_up_proj"]),
        (cut("layers.1.block_sparse_moe.experts.3.w1", 4), ["model.layers.1.mlp.experts.gate_up_proj"]),
    ],
)
def test_a_tensor_of_another_shape_is_named_with_both(
    tmp_path: Path, edit: Callable[[Tensors], Tensors], words: list[str]
) -> None:
    found = refusal(change(save(tmp_path), edit))
    assert all(word in found for word in words)


def test_layers_that_only_the_configuration_or_only_the_files_have_are_named(tmp_path: Path) -> None:
    assert "model.layers.2.input_layernorm.weight" in refusal(configure(save(tmp_path), num_hidden_layers=3))
    assert "there is no layer 1" in refusal(configure(tmp_path, num_hidden_layers=1))


def test_experts_whose_numbers_have_a_gap_are_named(tmp_path: Path) -> None:
    """As pruning may leave them; their number is that of config.json, and each would get another place."""
    experts = "model.layers.1.block_sparse_moe.experts"
    found = refusal(change(save(tmp_path), renamed(f"{experts}.3.", f"{experts}.8.")))
    assert re.search(rf"{experts}\.8\.w\d\.weight, but no {experts}\.3\.w\d\.weight", found)


def test_a_shard_that_the_index_does_not_name_is_named(tmp_path: Path) -> None:
    found = refusal(split(save(tmp_path), named=lambda shard: "-00001-" in shard))
    assert "model-00002-of-00002.safetensors lies beside them, but the index does not name it" in found


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_told_from_the_file(tmp_path: Path, name: str) -> None:
    split(save(tmp_path))
    (tmp_path / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    assert f"{name} is a pointer of git-lfs in place of the file: run `git lfs pull`" in refusal(tmp_path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"model__layers__0__self_attn__q_proj__weight_scale": ONE},
        {"model__layers__1__mlp__gate__bias": ONE},
        {"model__layers__1__mlp__shared_expert__up_proj__weight": ONE},
        {"model__layers__1__self_attn__q_proj__bias": ONE},
        {"layers__1__mlp__gate__bias": ONE},
        {"lm_head__bias": ONE},
        {"model__extra_norm__weight": ONE},
        {"extra_norm__weight": ONE},
        {"model__embed_norm__weight": ONE, "score__weight": ONE},
        {"embed_positions__weight": ONE},
        {"model__embed_scale": ONE},
        {"logit_scale": ONE},
        {"model__adapters__3__up__weight": ONE},
        {"model__layers__1__vision_gate__weight": ONE},
        {"model__memory__0__visual__weight": ONE},
    ],
)
def test_a_tensor_that_nothing_reads_is_named(tmp_path: Path, tensors: Tensors) -> None:
    name, *_ = tensors
    assert name.replace("__", ".") in refusal(change(save(tmp_path), added(**tensors)))


@pytest.mark.slow
def test_of_a_model_that_sees_only_what_text_does_not_pass_may_be_left_over(tmp_path: Path) -> None:
    tiny_model("qwen3_vl_moe", torch.float32).save_pretrained(tmp_path)
    for file in save(tmp_path / "tokenizer").glob("tokenizer*"):
        file.rename(tmp_path / file.name)
    load(change(tmp_path, added(model__visual__blocks__9__mlp__weight=ONE, model__visual__more__weight=ONE)))
    for name in ("model.language_model.more.weight", "model.more.weight", "more.weight"):
        again = change(tmp_path, without("more"))
        assert f"its files hold {name}, which" in refusal(change(again, added(**{name.replace(".", "__"): ONE})))


def copy_of_the_last_layer(tensors: Tensors) -> Tensors:
    """Return a fourth layer, which predicts further tokens as DeepSeek's does."""
    more = {name.replace("layers.2.", "layers.3."): tensor for name, tensor in tensors.items() if ".layers.2." in name}
    return {**tensors, **more, "model.layers.3.eh_proj.weight": ONE, "model.layers.3.embed_tokens.weight": ONE}


@pytest.mark.parametrize(
    ("config", "edit"),
    [
        (mixtral(), added(model__layers__0__self_attn__rotary_emb__inv_freq=ONE)),
        (mixtral(), added(model__layers__0__self_attn__k_proj__k_scale=ONE)),
        (mixtral(), added(mtp__layers__0__mlp__gate__weight=ONE, mtp__fc__weight_scale=ONE)),
        (mixtral(), added(score__weight=ONE, v_head__summary__bias=ONE, visual__blocks__0__mlp__weight=ONE)),
        (mixtral(), added(model__vision_tower__encoder__layers__0__mlp__weight=ONE, model__mm_projector__0__bias=ONE)),
        (mixtral(), added(model__mtp_block__0__mlp__weight=ONE, model__rotary_emb__inv_freq=ONE)),
        (mixtral(), added(medusa_head__0__weight=ONE, model__norm___extra_state=ONE)),
        (mixtral(), added(model__image_newline=ONE, view_seperator=ONE, model__embed_audio__norm__weight=ONE)),
        (mixtral(), renamed("model.", "")),
        (deepseek_v3(), copy_of_the_last_layer),
    ],
)
def test_what_no_result_depends_on_may_be_there(
    tmp_path: Path, config: Any, edit: Callable[[Tensors], Tensors]
) -> None:
    expected = load(save(tmp_path, config)).state_dict()
    found = load(change(tmp_path, edit)).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_tied_embeddings_need_no_head(tmp_path: Path) -> None:
    config = mixtral()
    config.tie_word_embeddings = True
    model = load(change(save(tmp_path, config), without("lm_head")))
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


def packed(tensors: Tensors) -> Tensors:
    """Return projections as 8-bit numbers, with a scale for each block of 128 by 128."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        found[name] = tensor
        if name.endswith("proj.weight"):
            scale = tensor.abs().max() / 448
            found[name] = (tensor / scale).to(torch.float8_e4m3fn)
            found[f"{name}_scale_inv"] = scale.expand(tensor.shape[0] // 128, tensor.shape[1] // 128)
    return found


FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic", "fmt": "e4m3"}


@pytest.fixture(scope="module")
def in_blocks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensors, Path]:
    """Return the weights of a model, and a checkpoint of it packed in 8 bits, that config.json does not mention."""
    config = Qwen3MoeConfig(
        **{**SHAPE, "hidden_size": 128, "num_key_value_heads": 4},
        num_hidden_layers=1,
        moe_intermediate_size=128,
        head_dim=32,
        num_experts=4,
        num_experts_per_tok=2,
    )
    folder = save(tmp_path_factory.mktemp("in-blocks"), config)
    whole = load(folder).state_dict()
    return whole, change(folder, packed)


def copied(folder: Path, to: Path) -> Path:
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_weights_packed_in_blocks_are_unpacked_and_the_meta_says_so(
    tmp_path: Path, in_blocks: tuple[Tensors, Path]
) -> None:
    whole, folder = in_blocks
    engine = TransformersEngine(load_model(str(configure(copied(folder, tmp_path), quantization_config=FP8))))
    assert (engine.description["quantization"], engine.description["unpacked"]) == ("fp8", True)
    for name, tensor in engine.model.state_dict().items():
        # Three bits of mantissa: half of the last one, or of the smallest step for numbers close to zero.
        assert torch.allclose(tensor.float(), whole[name], rtol=2**-4, atol=float(whole[name].abs().max()) * 2**-9)


@pytest.mark.parametrize(
    ("packing", "edit", "words"),
    [
        ({"quant_method": "modelopt"}, without("nothing"), "packed by modelopt, which transformers does not unpack"),
        ({"quant_algo": "FP8"}, without("nothing"), "packed by a method that its config.json does not name"),
        (None, without("nothing"), "weight_scale_inv, which the model that config.json describes does not read"),
        (None, without("scale_inv"), "is stored as F8_E4M3, and its config.json does not say how"),
        (FP8, without("q_proj.weight_scale_inv"), "q_proj.weight is stored as F8_E4M3, and its scale is not in the"),
        (FP8, without("experts.1.up_proj.weight_scale_inv"), "experts.gate_up_proj do not fit together, or one"),
    ],
)
def test_packed_weights_that_would_be_read_without_their_scales_are_refused(
    tmp_path: Path, in_blocks: tuple[Tensors, Path], packing: Any, edit: Callable[[Tensors], Tensors], words: str
) -> None:
    folder = change(copied(in_blocks[1], tmp_path), edit)
    assert words in refusal(configure(folder, quantization_config=packing))


def other_scales(part: str, edit: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], Tensors]:
    """Return an edit of the scales whose names have this part."""
    return lambda tensors: {
        name: edit(tensor) if part in name and "scale" in name else tensor for name, tensor in tensors.items()
    }


def with_activations_alone(tensors: Tensors) -> Tensors:
    return {name.replace("q_proj.weight_scale_inv", "q_proj.input_scale"): one for name, one in tensors.items()}


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            other_scales("q_proj", lambda _: torch.ones(2, 1)),
            "scale_inv and model.layers.0.self_attn.q_proj.weight do",
        ),
        (
            other_scales("o_proj", lambda _: torch.ones(1, 4)),
            "of the shapes (1, 4) and (128, 128), by a config.json",
        ),
        (
            other_scales("experts.2.up", lambda _: torch.ones(1)),
            "shapes (1,) and (128, 128), by a config.json with a",
        ),
        (other_scales("v_proj", lambda one: one * torch.nan), "v_proj.weight_scale_inv holds nan, which is no scale"),
        (other_scales("experts.3.down", lambda one: -one), "experts.3.down_proj.weight_scale_inv holds -0.0"),
        (other_scales("k_proj", lambda one: one / 0), "k_proj.weight_scale_inv holds inf"),
        (with_activations_alone, "q_proj.weight is stored as F8_E4M3, and its scale is not in the files"),
    ],
)
def test_scales_that_are_not_those_of_the_weights_blocks_are_named(
    tmp_path: Path, in_blocks: tuple[Tensors, Path], edit: Callable[[Tensors], Tensors], words: str
) -> None:
    folder = change(copied(in_blocks[1], tmp_path), edit)
    assert words in refusal(configure(folder, quantization_config=FP8))


def test_blocks_that_reach_beyond_the_weight_are_refused_where_they_would_move(
    tmp_path: Path, in_blocks: tuple[Tensors, Path]
) -> None:
    """Blocks of 96 rows make two of 128 rows, and transformers would take two blocks of 64."""
    in_96 = {**FP8, "weight_block_size": [96, 128]}
    edit = other_scales("proj", lambda _: torch.ones(2, 1))
    assert "(2, 1) and (128, 128), by a config.json with a scale for each block of 96 by 128" in refusal(
        configure(change(copied(in_blocks[1], tmp_path), edit), quantization_config=in_96)
    )


@pytest.mark.parametrize("size", [[0, 128], [128], "128", [128.0, 128], {"a": 1}])
def test_a_size_of_blocks_that_is_none_is_refused(tmp_path: Path, in_blocks: tuple[Tensors, Path], size: Any) -> None:
    folder = configure(copied(in_blocks[1], tmp_path), quantization_config={**FP8, "weight_block_size": size})
    assert "weight_block_size" in refusal(folder)


@pytest.mark.parametrize("shape", [(1, 1), (1,), (128, 1)])
def test_a_scale_for_each_weight_or_row_is_read_where_the_configuration_says_so(
    tmp_path: Path, in_blocks: tuple[Tensors, Path], shape: tuple[int, ...]
) -> None:
    folder = change(copied(in_blocks[1], tmp_path), other_scales("", lambda one: one.reshape(1).expand(shape)))
    found = load(configure(folder, quantization_config={**FP8, "weight_block_size": None})).state_dict()
    for name, tensor in in_blocks[0].items():
        assert torch.allclose(found[name].float(), tensor, rtol=2**-4, atol=float(tensor.abs().max()) * 2**-9)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64, torch.bool])
def test_weights_that_are_stored_as_whole_numbers_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    change(save(tmp_path), lambda tensors: {**tensors, "lm_head.weight": (100 * tensors["lm_head.weight"]).to(dtype)})
    assert "lm_head.weight is stored as" in refusal(tmp_path)


@pytest.mark.parametrize("method", ["higgs", "spqr"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU unpacks them")
def test_a_packing_that_needs_another_device_is_named(tmp_path: Path, method: str) -> None:
    assert f"packed by {method}, cannot be read here" in refusal(
        configure(save(tmp_path), quantization_config={"quant_method": method})
    )


@pytest.mark.slow
def test_the_number_format_of_the_text_decoder_or_of_the_weights_is_used(tmp_path: Path) -> None:
    """Where the configuration says it for the text alone, or not at all."""
    tiny_model("qwen3_vl_moe", torch.bfloat16).save_pretrained(tmp_path)
    save(tmp_path / "tokenizer")
    for file in (tmp_path / "tokenizer").glob("tokenizer*"):
        file.rename(tmp_path / file.name)
    text = {**json.loads((tmp_path / "config.json").read_text())["text_config"], "dtype": "bfloat16"}
    for settings in ({"dtype": None, "text_config": text}, {"text_config": {**text, "dtype": None}}):
        configure(tmp_path, **settings)
        assert load(tmp_path).dtype == torch.bfloat16
        assert profile_of(str(tmp_path)).dtype == "bfloat16"


def test_a_number_format_that_is_left_open_is_that_of_the_weights(tmp_path: Path) -> None:
    configure(save(tmp_path, dtype=torch.bfloat16), dtype="auto")
    assert load(tmp_path).dtype == torch.bfloat16
    assert profile_of(str(tmp_path)).dtype == "bfloat16"


@pytest.mark.parametrize("dtype", ["evil", "float4_e2m1", "float8_e4m3fn", "int8"])
def test_a_number_format_in_which_nothing_runs_is_named(tmp_path: Path, dtype: str) -> None:
    configure(save(tmp_path), dtype=dtype)
    assert re.search(f"its configuration names the number format '?{dtype}", refusal(tmp_path))
    with pytest.raises(ModelError, match=dtype):
        profile_of(str(tmp_path))


class Evil:
    """Would run code where a pickle of it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("ran", "w")


def test_a_pickle_in_the_weights_runs_nothing_and_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (save(tmp_path) / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Evil()}, protocol=2))
    assert "has a .bin file that holds other things than tensors, or is damaged" in refusal(tmp_path)
    assert not Path("ran").exists()


def test_tensors_in_a_bin_file_are_read(tmp_path: Path) -> None:
    tensors = load_file(save(tmp_path) / "model.safetensors")
    expected = load(tmp_path).state_dict()
    (tmp_path / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    found = load(tmp_path).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_more_experts_for_a_token_than_there_are_is_one_sentence(tmp_path: Path) -> None:
    config = mixtral()
    config.num_local_experts = 1
    with pytest.raises(ModelError, match="select more experts for a token than a layer has"):
        TransformersEngine(load_model(str(save(tmp_path, config)), device="cpu"))


def test_a_bias_that_transformers_sets_anew_is_the_stored_one(tmp_path: Path) -> None:
    """It decides how often zaya's tokens skip their experts."""
    model = tiny_model("zaya", torch.float32)
    model.save_pretrained(tmp_path)
    save(tmp_path / "tokenizer")
    for file in (tmp_path / "tokenizer").glob("tokenizer*"):
        file.rename(tmp_path / file.name)
    found = load(tmp_path).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
