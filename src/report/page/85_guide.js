// What a newcomer looks for in a card, by its title: one sentence behind the card's own gist.

const guide = {
  'Loss': 'It should fall and then flatten; jumps late in the training ask for a smaller learning rate.',
  'Accuracy': 'A gap that grows between the two curves is overfitting.',
  'Learning rate': 'It should be low at the end, so that the model settles.',
  'Schedule of the loss': 'How strict the loss is as training goes on; once the curve is level, the full margin holds.',
  'Loss on test data': 'Where it rises again, the model grows too sure.',
  'Angles to the classes': 'The less the two hills overlap, the better the classes are told apart.',
  'Target logit': 'The distance of the two curves where the data lie is the price that the margin asks.',
  'Pull towards the class': 'Where it falls below 0, samples are pushed away from their class.',
  'Gain \u03b1(\u03b8)': 'Above 1 the margin pulls harder than softmax, below 0 in the wrong direction.',
  'Angles over time': 'The own class should come nearer while the other one stays away.',
  'Norms over time': 'A steady growth slows the learning of losses that use angles alone.',
  'Norms of features': 'Low norms are often rows of poor quality.',
  'Norms of class weights': 'A steep fall means that some classes are preferred.',
  'Attraction and repulsion': 'Rows far from the origin are those that the loss still works on.',
  'Attraction and repulsion over time': 'Both should fall late in the training, as the rows find their places.',
  'Gain of every row': 'Each dot is a row at its own norm and angle.',
  'Bounds of the gradient': 'No dot may lie below the dashed line; near it the bound is tight.',
  'Radial leak': 'Losses of angles alone have none, but for rounding.',
  'Radial leak over time': 'It should stay level; a growing share goes into norms in place of angles.',
  'Spectrum of the Hessian': 'Large values are sharp directions; values below 0 show that the loss is not convex there.',
  'Head against alignment': 'Left of 0 the two aims pull a row in opposite directions.',
  'Conditions of agreement': 'How often each condition holds.',
  'Conflict over time': 'Near 0 the alignment helps the head; above 50 % it works against it.',
  'Verification': 'The further to the upper left, the better.',
  'Calibration': 'On the dashed line the model is right as often as it says.',
  'Confusion': 'Look for strong colours beside the diagonal.',
  'Most confused classes': 'Long bars are classes that look alike, or rows with a wrong label.',
  'Map of the embeddings': 'Look for tight and separate clouds.',
  'Norm of the gradient': 'Sudden peaks are steps that went wrong.',
  'Time of a step': 'It should be level; what rises with the steps is worth a look. The first steps, which warm up, are left out.',
  'The run': 'Enough to repeat it.',
};

/* Panels of one run in a comparison have its name behind their title. */
function hintOf(title) {
  const bare = title.split(' \u00b7 ')[0];
  return Object.prototype.hasOwnProperty.call(guide, bare) ? guide[bare] : '';
}
