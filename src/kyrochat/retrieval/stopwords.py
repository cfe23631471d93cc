"""Words too common to retrieve by.

Measured: questions are full of them ("how can you ..."), and idf alone does not make up for it.
"""

_ENGLISH = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves what which who whom this that these those am is are
was were be been being have has had having do does did doing a an the and but if or because as until while
of at by for with about against between into through during before after above below to from up down in out
on off over under again further then once here there when where why how all any both each few more most
other some such no nor not only own same so than too very s t can will just don should now
"""

_GERMAN = """
ich mich mir mein meine meinen meinem meiner du dich dir dein deine er ihn ihm sein seine seinen seinem
seiner sie ihr ihre ihren ihrem ihrer es wir uns unser unsere euch euer der die das den dem des ein eine
einen einem einer eines kein keine keinen und oder aber wenn weil dass daß als ob wie was wer wen wem wessen
wo wohin woher wann warum wieso welche welcher welches welchen welchem ist sind war waren bin bist sei wird
werden wurde wurden hat haben hatte hatten habe kann können konnte soll muss im in an am auf aus bei beim
mit nach von vom vor zu zum zur über unter um für durch gegen ohne bis auch nur noch nicht sich so sehr dann
hier da dort man mehr dieser diese dieses diesen diesem
"""

_SPANISH = """
yo me mi mis tú te ti tu tus él ella ello ellos ellas lo la los las le les se su sus nos nosotros nuestro
nuestra el un una unos unas de del a al en con por para sin sobre entre desde hasta y e o u ni pero si no
que qué quién quien quiénes cuál cuáles cual cómo como cuándo cuando dónde donde cuánto cuánta cuántos
cuántas porque es son era eran fue fueron ser está están estaba estar ha han había haber hay tiene tienen
tenía este esta esto estos estas ese esa eso esos aquel aquella más muy también ya solo sólo todo toda todos
todas otro otra
"""

_FRENCH = """
je me moi mon ma mes tu te toi ton ta tes il elle on lui le la les l se son sa ses nous notre nos vous votre
vos ils elles leur leurs un une des de du d au aux à en dans par pour sur avec sans sous entre et ou mais si
ne n pas que qu qui quoi dont où quand comment pourquoi combien quel quelle quels quelles est sont était
étaient être été suis es ai as a ont avait avaient avoir c ce cet cette ces cela ça j m t s y plus très
aussi comme
"""

_PORTUGUESE = """
eu me mim meu minha meus minhas tu te teu tua você vocês ele ela eles elas lhe lhes se seu sua seus suas nós
nos nosso nossa o a os as um uma uns umas de do da dos das em no na nos nas ao aos à às por pelo pela para
com sem sobre entre até e ou mas se não que quê quem qual quais como quando onde quanto quanta quantos
quantas porque é são era eram foi foram ser está estão estava estar tem têm tinha ter há havia este esta
isto esse essa isso aquele aquela mais muito também já só
"""

_ITALIAN = """
io mi me mio mia miei mie tu ti te tuo tua lui lei esso essa essi loro si suo sua suoi sue noi ci nostro
nostra voi vi vostro il lo la i gli le l un uno una di del dello della dei degli delle a al allo alla ai
agli alle da dal dallo dalla dai dalle in nel nello nella nei nelle con su sul sulla per tra fra e ed o ma
se non che chi cui cosa come quando dove quanto quanta quanti quante perché quale quali è sono era erano fu
furono essere ha hanno aveva avere questo questa questi queste quello quella più molto anche
"""

_DUTCH = """
ik me mij mijn jij je jou jouw u uw hij hem zijn zij ze haar het wij we ons onze jullie hen hun de een der
des dit dat die deze en of maar als want omdat dan toen toch niet geen wel in op aan uit bij met naar van
voor door over onder tussen tot om te er hier daar wat wie welke waar wanneer waarom hoe is ben bent was
waren wordt worden werd werden heeft hebben had hadden kan kunnen zal zou ook nog al zo zeer meer veel
"""

_RUSSIAN = """
я меня мне мной мой моя мы нас нам наш ты тебя тебе твой вы вас вам ваш он его ему им нем она ее её ей нее
оно они их ими них и а но да или если что чтобы как так то это этот эта эти тот та те кто кого кому чем чём
когда где куда откуда почему зачем сколько какой какая какое какие каких каким который которая которое
которые в во на по с со к ко о об от до за из у для при под над без через между не ни же ли бы был была было
были быть есть уже еще ещё только также
"""

_SWEDISH = """
jag mig min mitt mina du dig din ditt dina han honom hans hon henne hennes den det de dem deras vi oss vår
vårt våra ni er en ett och eller men om som att vad vem vilken vilket vilka när var varför hur är ska skall
kan har hade blev blir vara varit inte för från med till på av vid under över mellan efter utan också bara
mer mycket detta denna dessa här där så
"""

_POLISH = """
ja mnie mi mój moja ty ciebie twój on jego mu ona jej ono my nas nam wy was oni one ich im to ten ta te tego
tej tych tym jest są był była było były być ma mają czy co kto kogo jak jaki jaka jakie jakich który która
które których kiedy gdzie dlaczego ile się nie tak że żeby aby ale lub albo oraz na do od dla po przez przy
pod nad przed za ze także tylko już
"""

_CZECH = """
já mě můj ty tě tvůj on jeho ona její my nás vy vás oni jejich to ten ta tento tato toto je jsou byl byla
bylo byli být má mají co kdo koho jak jaký jaká jaké který která které kteří kdy kde proč kolik se si ne že
aby ale nebo ani na do od pro po při pod nad před za ve také jen už podle mezi
"""

_TURKISH = """
ben beni bana benim sen seni sana senin onu ona onun biz bizi bizim siz sizi sizin onlar onları onların bu
şu bunu bunun bunlar ve veya ya da de ki mi mı mu mü ile için gibi kadar daha çok en az bir ne kim kimin
nasıl nerede nereye neden niçin hangi hangisi kaç zaman olan olarak oldu olduğu olduğunu olur değil var yok
idi ise ama fakat ancak sonra önce göre her
"""

_ROMANIAN = """
eu mie meu mea tu ție tău ta el lui ea ei noi nouă nostru voi vostru lor un una unei unui niște al ale cel
cea cei cele și sau dar dacă că să nu ce cine cui cum când unde care cât câtă câți câte de din la în pe cu
pentru prin despre după până între fără este sunt era erau fost fi are au avea avut acest această acesta
aceasta acești aceste mai foarte doar
"""

_INDONESIAN = """
saya aku kami kita anda kamu dia ia mereka ini itu yang dan atau tetapi tapi jika kalau karena bahwa apa
siapa mana kapan bagaimana mengapa kenapa berapa adalah ialah tidak bukan sudah telah akan sedang bisa dapat
ada di ke dari pada untuk dengan oleh dalam sebagai seperti juga hanya lebih sangat para
"""

_VIETNAMESE = """
tôi tao bạn anh chị ông bà nó họ chúng ta của và hoặc là thì mà nhưng nếu vì có không được bị đã đang sẽ
trong ngoài trên dưới với cho từ đến tại về bởi các những một này đó kia gì ai nào đâu khi bao nhiêu như thế
sao tại rất cũng chỉ
"""

STOPWORDS: dict[str, frozenset[str]] = {
    "english": frozenset(_ENGLISH.split()),
    "german": frozenset(_GERMAN.split()),
    "spanish": frozenset(_SPANISH.split()),
    "french": frozenset(_FRENCH.split()),
    "portuguese": frozenset(_PORTUGUESE.split()),
    "italian": frozenset(_ITALIAN.split()),
    "dutch": frozenset(_DUTCH.split()),
    "russian": frozenset(_RUSSIAN.split()),
    "swedish": frozenset(_SWEDISH.split()),
    "polish": frozenset(_POLISH.split()),
    "czech": frozenset(_CZECH.split()),
    "turkish": frozenset(_TURKISH.split()),
    "romanian": frozenset(_ROMANIAN.split()),
    "indonesian": frozenset(_INDONESIAN.split()),
    "vietnamese": frozenset(_VIETNAMESE.split()),
}
"""By Snowball's name of the language, lower case, with accents. English is PostgreSQL's list of 127."""
