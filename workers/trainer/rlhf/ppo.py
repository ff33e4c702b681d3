"""PPO as InstructGPT used it: policy, value function, frozen reference, rewards.

An answer is an episode, each of its tokens an action. A token is rewarded by how much
likelier it is to the reference than to the policy, times beta (Ziegler et al. 2019,
https://arxiv.org/abs/1909.08593); the last one by what judges say of the whole answer
as well. Advantages are estimated by GAE (Schulman et al. 2016,
https://arxiv.org/abs/1506.02438), whitened, and learnt from in several passes with both
losses clipped (Schulman et al. 2017, https://arxiv.org/abs/1707.06347; Ouyang et al.
2022, https://arxiv.org/abs/2203.02155).

The value function is a copy of the policy's body with a head of one number. A body of
its own, since learning values must not unmake the policy (Stiennon et al. 2020,
https://arxiv.org/abs/2009.01325); and the policy's, since that one always reads the
policy's tokens. The papers begin with the reward model, which here may be several, have
other tokenizers, or not be there at all.

Shapes: B answers, L tokens of the longest prompt and answer, T of them that may belong
to an answer, V vocabulary. Rows are padded on the right. Place t of (B, T) is one token
of an answer: its likelihood, its reward, the value of what stands before it.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainer.rlhf.sampling import Rollout

TINY = 1e-8


@dataclass(frozen=True)
class Settings:
    """What PPO is told beside its models; the defaults are Ouyang et al.'s."""

    beta: float = 0.02
    """Weight of the KL to the reference."""
    gamma: float = 1.0
    """Discount of a token's reward by each token before it."""
    lam: float = 0.95
    """GAE's lambda: 0 trusts the values, 1 what was really rewarded."""
    epsilon: float = 0.2
    """A ratio counts up to 1 ± this."""
    value_epsilon: float = 0.2
    """A value counts up to this far from what it was when the answer was drawn."""
    missing_end_penalty: float = 0.0
    """Taken off the reward of an answer that never ended."""
    temperature: float = 1.0
    """At which answers are drawn: the policy that learns is the one that draws."""
    mask_cut: bool = False
    """Whether nothing is learnt from answers that never ended."""


@dataclass(frozen=True)
class Experience:
    """Answers that were drawn, and all that is known of them before learning."""

    ids: Tensor
    """(B, L): prompt, answer, padding."""
    lengths: Tensor
    """(B,): tokens of prompt and answer."""
    mask: Tensor
    """(B, T), as all that follows: 1.0 for tokens of an answer; the last T of L."""
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def pick(self, rows: Tensor) -> "Experience":
        """Return some of the answers."""
        return Experience(**{name: one[rows] for name, one in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Return what it is made of, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


class Losses(NamedTuple):
    """What is minimised for some answers, and what else was seen on the way."""

    policy: Tensor
    value: Tensor
    measured: dict[str, float]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean where the mask is 1; 0 where it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Bring values to mean 0 and variance 1 where the mask is 1; others to 0."""
    centred = (values - masked_mean(values, mask)) * mask
    variance = masked_mean(centred.square(), mask)
    return centred * torch.rsqrt(variance + TINY)


def deviation(values: Tensor, mask: Tensor) -> float:
    """Return the standard deviation where the mask is 1."""
    centred = values - masked_mean(values, mask)
    return float(masked_mean(centred.square(), mask).sqrt())


def kl_k1(logprobs: Tensor, reference: Tensor) -> Tensor:
    """Return log(p/q) of each token drawn from p: unbiased for the KL, of any sign.

    Of the three estimators of http://joschu.net/blog/kl-approx.html the one whose sum
    over an answer is what the closed form of the best policy has in it.
    """
    return logprobs - reference


def kl_k3(logprobs: Tensor, reference: Tensor) -> Tensor:
    """Return q/p - 1 - log(q/p) of each token: unbiased as well, and never negative."""
    log_ratio = reference - logprobs
    return torch.expm1(log_ratio) - log_ratio


def token_rewards(
    scores_B: Tensor, kl_BT: Tensor, mask_BT: Tensor, *, beta: float
) -> Tensor:
    """Return (B, T): minus beta·KL at each token, and the score at the last one."""
    places_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    last_B = (places_T * mask_BT).argmax(dim=1)
    rewards_BT = -beta * kl_BT * mask_BT
    return rewards_BT.scatter_add(1, last_B[:, None], scores_B[:, None])


def gae(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns, both (B, T), by generalised advantage estimation.

    delta_t = r_t + gamma·V_(t+1) - V_t, the advantage A_t = sum over l of
    (gamma·lam)^l·delta_(t+l), the return A_t + V_t. Behind its last token an answer is
    over: nothing more is worth anything, whether it ended or was cut.
    """
    values_BT = values_BT * mask_BT
    rewards_BT = rewards_BT * mask_BT
    zero_B1 = torch.zeros_like(values_BT[:, :1])
    next_BT = torch.cat([values_BT[:, 1:], zero_B1], dim=1)
    deltas_BT = rewards_BT + gamma * next_BT - values_BT
    later_B = torch.zeros_like(deltas_BT[:, 0])
    found: list[Tensor] = []
    for delta_B in reversed(deltas_BT.unbind(dim=1)):
        later_B = delta_B + gamma * lam * later_B
        found.append(later_B)
    advantages_BT = torch.stack(found[::-1], dim=1) * mask_BT
    return advantages_BT, advantages_BT + values_BT


def policy_loss(
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    *,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Return the clipped loss of the policy, and the share of tokens it is clipped at.

    It is the greater of two losses: that of the ratio, and that of the ratio clipped.
    So a step that would do better by going further gains nothing by it, and one that
    went too far in the wrong direction is still brought back.
    """
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT) * mask_BT)
    clipped_BT = ratio_BT.clamp(1 - epsilon, 1 + epsilon)
    plain_BT, held_BT = -advantages_BT * ratio_BT, -advantages_BT * clipped_BT
    loss = masked_mean(torch.maximum(plain_BT, held_BT), mask_BT)
    return loss, masked_mean((held_BT > plain_BT).float(), mask_BT)


def value_loss(
    values_BT: Tensor,
    old_values_BT: Tensor,
    returns_BT: Tensor,
    mask_BT: Tensor,
    *,
    epsilon: float,
) -> Tensor:
    """Return half the greater squared error of the value, and of the value clipped."""
    near_BT = old_values_BT + (values_BT - old_values_BT).clamp(-epsilon, epsilon)
    plain_BT = (values_BT - returns_BT).square()
    held_BT = (near_BT - returns_BT).square()
    return 0.5 * masked_mean(torch.maximum(plain_BT, held_BT), mask_BT)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """Return what share of the returns' variance the values foresaw; 1 is all.

    At most 1, and negative where a constant would have foreseen more; 0 where there was
    nothing to foresee.
    """

    known = deviation(returns, mask) ** 2
    unforeseen = deviation(returns - values, mask) ** 2
    return 1 - unforeseen / known if known > TINY else 0.0


class Critic(nn.Module):
    """The value function: how much reward is still to come, at each token."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        # All zero, so that the first advantages are what was really rewarded.
        self.head = nn.Linear(body.config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Return (B, L): the value of having come up to each token, it included."""
        read = self.body(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False)
        # In fp32 under autocast too: values are compared with sums of rewards.
        with torch.autocast(ids_BL.device.type, enabled=False):
            values_BL1: Tensor = self.head(read.last_hidden_state.float())
        return values_BL1.squeeze(-1)


def critic_of(policy: Any) -> Critic:
    """Return a value function that begins with a copy of a policy's body."""
    return Critic(copy.deepcopy(policy.base_model))


class Learner:
    """PPO over one policy; whoever has it draws the answers and owns the optimizer."""

    def __init__(
        self, policy: Any, critic: Critic, reference: Any | None, settings: Settings
    ) -> None:
        self.policy = policy
        self.critic = critic
        self.reference = reference
        """Frozen; None: the policy without its adapter."""
        self.settings = settings

    @torch.no_grad()
    def experience(
        self, rollouts: Sequence[Rollout], scores_B: Tensor, *, at_once: int
    ) -> tuple[Experience, dict[str, float]]:
        """Return what is to be learnt from answers with these rewards, and measures.

        Likelihoods are computed here once more: those of the sampler are rounded in
        another order, and the first ratio must be 1. `at_once` answers are read
        together.
        """
        told = self.settings
        device = next(self.critic.parameters()).device
        ids_BL, lengths_B, mask_BT = (one.to(device) for one in padded(rollouts))
        num = mask_BT.shape[1]
        logprobs_BT, reference_BT, values_BT = (
            torch.cat(column)
            for column in zip(
                *(
                    self.read(ids_BL[rows], lengths_B[rows], num)
                    for rows in torch.arange(len(rollouts), device=device).split(
                        at_once
                    )
                ),
                strict=True,
            )
        )
        kl_BT = kl_k1(logprobs_BT, reference_BT)
        has_ended_B = torch.tensor([one.ended for one in rollouts], device=device)
        scores_B = scores_B.to(device) - told.missing_end_penalty * ~has_ended_B
        rewards_BT = token_rewards(scores_B, kl_BT, mask_BT, beta=told.beta)
        advantages_BT, returns_BT = gae(
            rewards_BT, values_BT, mask_BT, gamma=told.gamma, lam=told.lam
        )
        measured = {
            "kl": float(masked_mean(kl_BT, mask_BT)),
            "advantage_std": deviation(advantages_BT, mask_BT),
            "explained_variance": explained_variance(values_BT, returns_BT, mask_BT),
        }
        if told.mask_cut:
            mask_BT = mask_BT * has_ended_B[:, None]
        made = Experience(
            ids=ids_BL,
            lengths=lengths_B,
            mask=mask_BT,
            logprobs=logprobs_BT,
            values=values_BT,
            advantages=whiten(advantages_BT, mask_BT),
            returns=returns_BT,
        )
        return made, measured

    def read(
        self, ids_BL: Tensor, lengths_B: Tensor, num: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-likelihoods by policy and reference, and values, of answers."""
        given = ids_BL, lengths_B, num
        by_policy, _ = self.logprobs(self.policy, *given)
        if self.reference is not None:
            by_reference, _ = self.logprobs(self.reference, *given)
        else:
            with self.policy.disable_adapter():
                by_reference, _ = self.logprobs(self.policy, *given)
        return by_policy, by_reference, self.values(*given)

    def losses(self, batch: Experience) -> Losses:
        """Return both losses of a minibatch, means over its tokens."""
        given = batch.ids, batch.lengths, batch.mask.shape[1]
        logprobs_BT, entropy_BT = self.logprobs(self.policy, *given)
        by_policy, clip_share = policy_loss(
            logprobs_BT,
            batch.logprobs,
            batch.advantages,
            batch.mask,
            epsilon=self.settings.epsilon,
        )
        by_value = value_loss(
            self.values(*given),
            batch.values,
            batch.returns,
            batch.mask,
            epsilon=self.settings.value_epsilon,
        )
        measured = {
            "entropy": float(masked_mean(entropy_BT, batch.mask)),
            "clip_share": float(clip_share.detach()),
            "value_loss": float(by_value.detach()),
        }
        return Losses(by_policy, by_value, measured)

    def logprobs(
        self, model: Any, ids_BL: Tensor, lengths_B: Tensor, num: int
    ) -> tuple[Tensor, Tensor]:
        """Return log-likelihood and entropy, without gradient, of the last tokens."""
        mask_BL = attention(ids_BL, lengths_B)
        read = model(
            input_ids=ids_BL,
            attention_mask=mask_BL,
            logits_to_keep=num + 1,
            use_cache=False,
        )
        # What is said at a token is about the next one; the last says nothing of use.
        logits_BTV = read.logits[:, -num - 1 : -1].float() / self.settings.temperature
        all_BTV = logits_BTV.log_softmax(dim=-1)
        chosen_BT = all_BTV.gather(2, ids_BL[:, -num:, None]).squeeze(2)
        with torch.no_grad():
            entropy_BT = -(all_BTV.exp() * all_BTV).sum(dim=-1)
        return chosen_BT, entropy_BT

    def values(self, ids_BL: Tensor, lengths_B: Tensor, num: int) -> Tensor:
        """Return (B, num): the value of what stands before each of the last tokens."""
        values_BL: Tensor = self.critic(ids_BL, attention(ids_BL, lengths_B))
        return values_BL[:, -num - 1 : -1]


def padded(rollouts: Sequence[Rollout]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids (B, L), lengths (B,) and mask (B, T) of answers.

    T is L less the shortest prompt. Padding is token 0, which nothing ever looks at.
    """
    rows = [one.prompt_ids + one.ids for one in rollouts]
    lengths_B = torch.tensor([len(row) for row in rows])
    prompts_B = torch.tensor([len(one.prompt_ids) for one in rollouts])
    longest = int(lengths_B.max())
    ids_BL = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    places_L = torch.arange(longest)
    is_answer_BL = (places_L >= prompts_B[:, None]) & (places_L < lengths_B[:, None])
    return ids_BL, lengths_B, is_answer_BL[:, int(prompts_B.min()) :].float()


def attention(ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
    """Return (B, L): 1 where a token is no padding."""
    places_L = torch.arange(ids_BL.shape[1], device=ids_BL.device)
    return (places_L < lengths_B[:, None]).long()


def minibatches(num: int, parts: int, *, seed: int) -> tuple[Tensor, ...]:
    """Split `num` answers into parts by chance; the same seed gives the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(num, generator=generator).tensor_split(parts)
