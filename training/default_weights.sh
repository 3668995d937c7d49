#!/bin/sh
# Train the default weights again, from the detector's file to version folders and their release:
#
#   sh training/default_weights.sh DATA OUT
#
# DATA holds people/, ccp/ and more/ in COCO format (docs/accuracy.md lists them), OUT gets the runs and
# a copy of the model repository. Run again after a stop, it goes on where it was; what is there stays.
# Every training has the default seed, 0.
set -eu
DATA=$1 OUT=$2
REPOSITORY=$OUT/model_repository
DETECTOR=$REPOSITORY/yolov9/9 # NanoDet-g, by peopleseg import-detector
OLD_HEAD=training/pretrained/defaults/hierarchical_head-8.safetensors
VAL="--images $DATA/people/val --annotations $DATA/people/person_val.json"

MORE=$DATA/more
TINYCOCO="{images: $MORE/tinycoco, annotations: $MORE/tinycoco.json}"
PENNFUDAN="{images: $MORE/pennfudan, annotations: $MORE/pennfudan.json, everybody: false}"
FASHION="{images: $DATA/ccp/images, annotations: $DATA/ccp/person_ccp.json, everybody: false, weight: 0.5}"
NOBODY="{images: $MORE/coco_negatives, annotations: $MORE/coco_negatives.json}"
COCO_BOXES="images: $MORE/coco_val, annotations: $MORE/coco_val.json"
COCO_FILLED="{images: $MORE/coco_val, annotations: $OUT/coco_val_filled.json}"
VOC_FILLED="{images: $MORE/voc, annotations: $OUT/voc_filled.json, weight: 0.5}"
VOC_PART="{images: $MORE/voc, annotations: $OUT/voc_train.json}"

# NAME YAML OPTIONS...: a training into OUT/NAME
fit() {
    name=$1 yaml=$2
    shift 2
    [ ! -f "$OUT/$name/last.ckpt" ] || set -- "$@" --ckpt_path last
    peopleseg train fit --config "training/configs/$yaml.yaml" --out "$OUT/$name" --data.root "$DATA/people" "$@"
}

# FILE COMMAND...: the command that writes it, unless it is there
make_once() {
    file=$1
    shift
    [ -e "$file" ] || "$@"
}

mkdir -p "$OUT"
make_once "$REPOSITORY" cp -R model_repository "$REPOSITORY"

# The people UNet, its encoder from ImageNet.
fit people_unet people_unet_lite0 --trainer.max_epochs 13 --data.extra "[$TINYCOCO, $NOBODY]"

# The mask head goes on from that of the YOLOv9 release; the layer that reads features begins anew.
BESIDE="--model.detector $DETECTOR --model.people_unet $OUT/people_unet/best.ckpt"
fit head hierarchical_lite $BESIDE --model.start_from "$OLD_HEAD" --model.optimizer.learning_rate 1e-3 \
    --trainer.max_epochs 16 --data.extra "[$TINYCOCO, $FASHION, $PENNFUDAN, {$COCO_BOXES, weight: 0.5}]"

# It fills in masks of people who have a box alone, and learns on, from them too.
release_for_filling() {
    peopleseg export "$OUT/people_unet/best.ckpt" --model-repository "$REPOSITORY" --examples "$DATA/people/val"
    peopleseg export "$OUT/head/best.ckpt" --model-repository "$REPOSITORY" --examples "$DATA/people/val"
    peopleseg release filling yolov9=9 "$(newest people_unet)" "$(newest hierarchical_head)" --offline \
        --model-repository "$REPOSITORY" --force
    touch "$OUT/released_for_filling"
}
newest() { echo "$1=$(ls "$REPOSITORY/$1" | grep -E '^[0-9]+$' | sort -n | tail -n 1)"; }
fill() {
    peopleseg fill-masks --model-repository "$REPOSITORY" --images "$MORE/$1" \
        --annotations "$MORE/$1.json" --out "$OUT/$1_filled.json"
}
make_once "$OUT/released_for_filling" release_for_filling
make_once "$OUT/coco_val_filled.json" fill coco_val
make_once "$OUT/voc_filled.json" fill voc
fit head_filled hierarchical_lite $BESIDE --model.start_from "$OUT/head/best.ckpt" --model.optimizer.learning_rate 8e-4 \
    --model.schedule.warmup_epochs 0.2 --trainer.max_epochs 10 \
    --data.extra "[$TINYCOCO, $FASHION, $PENNFUDAN, $COCO_FILLED, $VOC_FILLED]"

# It learns which boxes are nobody's. Part of VOC is kept out, to measure it in images of nobody.
split() { peopleseg data-subset --annotations "$MORE/voc.json" --images-count 496 --out "$1" --rest "$OUT/voc_test.json"; }
make_once "$OUT/voc_train.json" split "$OUT/voc_train.json"
fit head_presence hierarchical_lite_presence $BESIDE --model.start_from "$OUT/head_filled/best.ckpt" \
    --trainer.max_epochs 2 --data.extra "[$TINYCOCO, $PENNFUDAN, {$COCO_BOXES}, $VOC_PART, $NOBODY]"

# What is served: the UNet in INT8 (in float before it, for GPUs), and scores fitted to the three.
peopleseg export "$OUT/people_unet/best.ckpt" --model-repository "$REPOSITORY" --examples "$DATA/people/val"
peopleseg export "$OUT/people_unet/best.ckpt" --model-repository "$REPOSITORY" --examples "$DATA/people/train" --precision int8 --most-loss 0.001 $VAL
peopleseg export "$OUT/head_presence/last.ckpt" --model-repository "$REPOSITORY" --examples "$DATA/people/val" --weights fp32
peopleseg fit-scores --model-repository "$REPOSITORY" $VAL --with yolov9=9 "$(newest people_unet)" "$(newest hierarchical_head)"
peopleseg release default yolov9=9 "$(newest people_unet)" "$(newest hierarchical_head)" "$(newest select_people)" \
    "$(newest postprocess)" --offline --model-repository "$REPOSITORY" $VAL
