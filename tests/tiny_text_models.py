"""Real classes of transformers and open_clip at a small size with random weights, and a tokenizer of a dozen words."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    GitConfig,
    GitForCausalLM,
    GPT2Config,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", "a", "red", "blue", "green", "handbag", "for", "women", "picture", "of"]
PAD, CLS, SEP, DEC = (WORDS.index(mark) for mark in ("[PAD]", "[CLS]", "[SEP]", "[DEC]"))
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SIGHT = {**SMALL, "image_size": 8, "patch_size": 4}
TEXT = {**SMALL, "vocab_size": len(WORDS), "pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": SEP}


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)])
    marks = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **marks)


def blip(label_smoothing: float = 0.0) -> tuple[BlipForConditionalGeneration, BlipImageProcessor]:
    text = {**TEXT, "bos_token_id": DEC, "sep_token_id": SEP, "max_position_embeddings": 12, "encoder_hidden_size": 16}
    config = BlipConfig(text_config={**text, "label_smoothing": label_smoothing}, vision_config=SIGHT, projection_dim=16)
    torch.manual_seed(1)
    return spread(BlipForConditionalGeneration(config)), BlipImageProcessor(size={"height": 8, "width": 8})


def git() -> tuple[GitForCausalLM, CLIPImageProcessor]:
    config = GitConfig(vision_config=SIGHT, **TEXT, max_position_embeddings=12)
    torch.manual_seed(2)
    return spread(GitForCausalLM(config)), clip_processor()


def vit_bert() -> tuple[VisionEncoderDecoderModel, ViTImageProcessor]:
    decoder = BertConfig(**TEXT, max_position_embeddings=12)
    return _encoder_decoder(decoder, 3), ViTImageProcessor(size={"height": 8, "width": 8})


def vit_gpt2() -> tuple[VisionEncoderDecoderModel, ViTImageProcessor]:
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 12, "vocab_size": len(WORDS)}
    decoder = GPT2Config(**sizes, bos_token_id=CLS, eos_token_id=SEP)
    return _encoder_decoder(decoder, 4), ViTImageProcessor(size={"height": 8, "width": 8})


def _encoder_decoder(decoder: BertConfig | GPT2Config, seed: int) -> VisionEncoderDecoderModel:
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**SIGHT), decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = CLS, PAD, SEP
    torch.manual_seed(seed)
    return spread(VisionEncoderDecoderModel(config))


def clip_processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})


def clip() -> tuple[CLIPModel, CLIPImageProcessor]:
    config = CLIPConfig(text_config={**TEXT, "max_position_embeddings": 12}, vision_config=SIGHT, projection_dim=6)
    torch.manual_seed(5)
    return spread(CLIPModel(config)), clip_processor()


def siglip() -> tuple[SiglipModel, SiglipImageProcessor]:
    config = SiglipConfig(text_config={**TEXT, "max_position_embeddings": 12}, vision_config=SIGHT)
    torch.manual_seed(6)
    return spread(SiglipModel(config)), SiglipImageProcessor(size={"height": 8, "width": 8})


def spread(model):
    """Larger weights than at the start of training, so that values differ between images and texts."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn_like(weight) * (0.5 if "embed" in name else 1.5 / weight[0].numel() ** 0.5))
    return model.double().eval()


def image(chains: int = 3, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.rand(chains, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gradient_of(condition, at: torch.Tensor) -> torch.Tensor:
    leaf = at.clone().requires_grad_()
    return torch.autograd.grad(condition(leaf).sum(), leaf)[0]


def assert_gradient(condition, at: torch.Tensor, width: float = 1e-5, tolerance: float = 1e-5) -> None:
    """Each chain's slope along 20 random directions of its own pixels is what central differences say, and not 0.

    Chains that influenced each other would spoil it, because all of them move at once and each by its own value's difference.
    """
    gradient = gradient_of(condition, at)
    directions = torch.randn(20, *at.shape, generator=torch.Generator().manual_seed(9), dtype=at.dtype)
    with torch.no_grad():
        pairs = [(condition(at + width * way), condition(at - width * way)) for way in directions]
    numeric = torch.stack([(ahead - behind) / (2 * width) for ahead, behind in pairs])
    exact = (directions * gradient).flatten(2).sum(2)
    assert torch.allclose(exact, numeric, rtol=tolerance, atol=tolerance * float(exact.abs().max()))
    assert exact.abs().max() > 1e-3
