// What a newcomer looks for in a card, by its title: one sentence behind the card's own gist.

const guide = {
  'Loss': 'It should fall and then flatten; jumps late in the training ask for a smaller learning rate.',
  'Accuracy': 'A gap that grows between the two curves is overfitting.',
  'Loss on test data': 'Where it rises again, the model grows too sure.',
  'Angles to the classes': 'The less the two hills overlap, the better the classes are told apart.',
  'Target logit': 'The distance of the two curves where the data lie is the price that the margin asks.',
  'Pull towards the class': 'Where it falls below 0, samples are pushed away from their class.',
  'Gain \u03b1(\u03b8)': 'Above 1 the margin pulls harder than softmax, below 0 in the wrong direction.',
  'Angles over time': 'The own class should come nearer while the other one stays away.',
  'Norms of features': 'Low norms are often rows of poor quality.',
  'Norms of class weights': 'A steep fall means that some classes are preferred.',
  'Attraction and repulsion': 'Rows far from the origin are those that the loss still works on.',
  'Gain of every row': 'Each dot is a row at its own norm and angle.',
  'Bounds of the gradient': 'No dot may lie below the dashed line; near it the bound is tight.',
  'Radial leak': 'Losses of angles alone have none, but for rounding.',
  'Spectrum of the Hessian': 'Large values are sharp directions; values below 0 show that the loss is not convex there.',
  'Head against alignment': 'Left of 0 the two aims pull a row in opposite directions.',
  'Conditions of agreement': 'How often each condition holds.',
  'Verification': 'The further to the upper left, the better.',
  'Calibration': 'On the dashed line the model is right as often as it says.',
  'Map of the embeddings': 'Look for tight and separate clouds.',
  'Norm of the gradient': 'Sudden peaks are steps that went wrong.',
};

/* Panels of one run in a comparison have its name behind their title. */
function hintOf(title) {
  const bare = title.split(' \u00b7 ')[0];
  return Object.prototype.hasOwnProperty.call(guide, bare) ? ' ' + guide[bare] : '';
}
