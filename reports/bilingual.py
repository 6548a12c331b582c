"""The words of the lecture's pages, in English and in Korean."""

from __future__ import annotations

from typing import Literal

from repro.lectures.course import VERDICTS, Verdict

Language = Literal["en", "ko"]

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "lead": "This project accompanies a Korean university course on image classification with convolutional networks. Its slides "
        "state facts, and students copy them; so each statement is judged here, and run where it can be. "
        "The statements are in our words; the slide's own heading is the place.",
        "keys": "L98, K12, S14 and H15 are the papers of LeNet-5, AlexNet, VGG and ResNet: [papers](README.md#papers).",
        "other": "한국어",
        "rule": "A statement has a criterion, an expression over numbers that a check measures. The verdict follows from it:",
        "right": "the statement holds as it stands.",
        "imprecise": "it doesn't hold as it stands, but a stated part of it does.",
        "wrong": "it doesn't hold.",
        "not run": "it can't be decided by a run here; the reason is given.",
        "tally": "{total} statements: {right} right, {imprecise} imprecise, {wrong} wrong, {not_run} not run.",
        "topic": "topic", "statements": "statements", "all": "all", "verdict": "verdict", "statement": "the slide says",
        "why": "what comes out", "criteria": "Criteria and numbers", "holds": "right if", "part": "imprecise if", "numbers": "numbers",
        "source": "printed in", "none": "no numbers yet", "trained": "Trained here", "network": "network", "data": "data",
        "error": "test error",
        "beside": "the paper's", "loss": "loss, batch", "rate": "highest learning rate", "passes": "passes", "hardware": "hardware",
        "seconds": "seconds (threads)",
        "recipe": "`lenet5` is the network of 1998: fixed codes as output, scaled tanh, its initial weights, and the paper's loss "
        "(eq. 9, with j = 1, which the paper doesn't print). What differs: the optimiser, with batches, momentum 0.9 and a rate that rises "
        "and falls once, where the paper steps after each image, with a rate for each weight; the passes, 10 over MNIST where the paper "
        "makes 20; and the first coefficients of S2 and S4, which make them averages here. `lenet5-modern` has "
        "max pooling, ReLU and a trained output, and no paper prints it. `resnet20` is a record of plain against residual "
        "(degradation.md), far shorter than the paper's run. `digits` are the embedded 8x8 images, enlarged to 20x20 for LeNet-5: "
        "another data set, where MNIST is absent. One seed each, the error after the last pass.",
 "remake": "Remake",
    },
    "ko": {
        "lead": "이 프로젝트는 합성곱 신경망을 이용한 이미지 분류를 다루는 대학 강의를 위한 것입니다. "
        "수강생은 슬라이드에 적힌 내용을 그대로 익히게 되므로, 여기서는 각 서술을 판정하고, 실행할 수 있는 것은 직접 실행합니다. "
        "서술은 저희의 말로 옮겨 적었으며, 출처로는 슬라이드의 제목을 적었습니다.",
        "keys": "L98, K12, S14, H15는 각각 LeNet-5, AlexNet, VGG, ResNet의 논문입니다: [논문 목록](README.md#papers).",
        "other": "English",
        "rule": "각 서술에는 판정 기준이 있습니다. 판정 기준은 검사에서 측정한 수치에 대한 식이며, 판정은 이 식에 따라 정해집니다.",
        "right": "서술이 그대로 성립합니다.",
        "imprecise": "서술 그대로는 성립하지 않지만, 명시된 일부는 성립합니다.",
        "wrong": "서술이 성립하지 않습니다.",
        "not run": "여기서 실행하여 판정할 수 없으며, 그 이유를 적었습니다.",
        "tally": "서술 {total}개: 맞음 {right}개, 부정확 {imprecise}개, 틀림 {wrong}개, 실행하지 않음 {not_run}개.",
        "topic": "주제", "statements": "서술", "all": "전체", "verdict": "판정", "statement": "슬라이드의 내용",
        "why": "실행 결과", "criteria": "판정 기준과 수치", "holds": "맞음의 조건", "part": "부정확의 조건", "numbers": "수치",
        "source": "수치의 출처", "none": "아직 측정한 수치가 없습니다", "trained": "여기서 학습한 신경망", "network": "네트워크",
        "data": "데이터",
        "error": "테스트 오류율", "beside": "논문의 값", "loss": "손실 함수, 배치 크기", "rate": "최대 학습률", "passes": "반복 횟수",
        "hardware": "하드웨어", "seconds": "초(스레드)",
        "recipe": "`lenet5`는 1998년의 네트워크로, 고정된 코드를 쓰는 출력, 크기를 조정한 tanh, 논문의 초기 가중치와 "
        "손실 함수(식 9, 논문에 값이 없는 j는 1)를 씁니다. 다른 점은 세 가지입니다. "
        "논문은 이미지 하나마다 가중치별 학습률로 갱신하지만, 여기서는 배치와 모멘텀 0.9, 한 번 올랐다가 내리는 학습률을 씁니다. "
        "훈련 데이터의 반복은 논문에서 20번, 여기서는 MNIST에서 10번입니다. "
        "S2와 S4의 처음 계수는 여기서 평균이 되도록 정합니다. "
        "`lenet5-modern`은 최대 풀링, ReLU, 학습되는 출력층을 가지며, 어느 논문에도 없는 네트워크입니다. "
        "`resnet20`은 일반 네트워크와 잔차 네트워크를 비교한 기록(degradation.md)이며 논문의 학습보다 훨씬 짧습니다. "
        "`digits`는 내장된 8x8 이미지를 LeNet-5에 맞게 20x20으로 키운 것으로, MNIST가 없을 때 쓰는 다른 데이터셋입니다. "
        "시드는 하나씩이며, 오류율은 마지막 반복 뒤의 값입니다.",
 "remake": "다시 만들기",
    },
}  # fmt: skip
VERDICT_WORDS: dict[Language, dict[Verdict, str]] = {
    "en": {verdict: verdict for verdict in VERDICTS},
    "ko": {"right": "맞음", "imprecise": "부정확", "wrong": "틀림", "not run": "실행하지 않음"},
}
