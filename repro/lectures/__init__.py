"""The course that this project accompanies, checked: each statement of its slides is run and judged.

``course``       papers/lecture.toml -> topics and statements
``expressions``  the criteria, as arithmetic over numbers that were measured
``judging``      a statement and its numbers -> right, imprecise or wrong
``running``      the checks of a topic, run; and the documents that keep their numbers
``perceptron`` ``activations`` ``convolution`` ``tasks`` ``mnist`` ``alexnet`` ``vgg`` ``resnet``   one topic each: its checks
``two_towers`` ``shares``   checks that need several processes
``lenets`` ``lessons``   LeNet-5, as in 1998 and as it is today, trained; and the records of that
"""
